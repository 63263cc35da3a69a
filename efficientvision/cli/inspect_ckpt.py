"""--runmode=ckpt: checks that a checkpoint fits, and writes its averaged weights."""

from efficientvision.cli.inspect_dry import print_summary, write_weights
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.runs import inspection


def run(settings: InspectSettings) -> None:
    """Loads the checkpoint and prints a report; with --export_ckpt writes a TF1 checkpoint."""
    settings.need("ckpt_path", "ckpt")
    loaded = inspection.load_for_export(settings)
    print_summary(loaded)
    if settings.export_ckpt:
        write_weights(loaded.model, settings.export_ckpt)
        print(f"export model to {settings.export_ckpt}")
