"""--runmode=freeze: the network alone as a frozen graph."""

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.saved_model import export_network
from efficientvision.runs import inspection
from efficientvision.tasks.choice import build_serving


def run(settings: InspectSettings) -> None:
    """Writes `<logdir>/<model>_frozen.pb` and `<logdir>/savedmodel`."""
    loaded = inspection.load_for_export(settings)
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
    print(f"Frozen graph: {frozen}")
