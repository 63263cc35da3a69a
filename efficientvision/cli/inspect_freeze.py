"""--runmode=freeze: the network alone as a frozen graph."""

from efficientvision import files
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.export.saved_model import export_network
from efficientvision.export.serving import build_serving


def run(settings: InspectSettings) -> None:
    """Writes `<logdir>/<model>_frozen.pb` and `<logdir>/savedmodel`."""
    loaded = settings.load_for_export()
    if settings.delete_logdir:
        for name in files.list_names(settings.logdir):
            if name.endswith("_frozen.pb"):
                files.remove(files.join(settings.logdir, name))
    frozen, saved_model = export_network(
        build_serving(loaded.model, loaded.config),
        settings.logdir,
        loaded.config.name,
        batch_size=settings.batch_size,
    )
    print(f"SavedModel of the network: {saved_model}")
    print(f"frozen graph: {frozen}")
