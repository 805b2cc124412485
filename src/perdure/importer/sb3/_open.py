"""The zip of a model, or what it is that was given in its place."""

from pathlib import Path

from perdure._core import FileFormatError

from .._zip import SafeZip, open_zip

_OF_VERSION_2 = {"parameters", "parameter_list"}


def _check_members(archive: SafeZip) -> None:
    """Raises: FileFormatError for zips of something else, by what they are."""
    names = archive.names
    if "policy.pth" not in names and _OF_VERSION_2 & set(names):
        raise FileFormatError(
            "a model of Stable-Baselines 2, which ran on TensorFlow; its members are data, parameters and parameter_list. It is "
            "not read. Train it again with Stable-Baselines3, or move the weights by name with policy.set_parameters."
        )
    if "data" in names:
        return
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        raise FileFormatError(
            "a file of torch.save, such as the member policy.pth of a model: weights without spaces and settings. Give the zip "
            "that model.save wrote."
        )
    inside = next((name for name in names if name.endswith("/policy.pth")), None)
    if inside is not None:
        raise FileFormatError(
            f"it has a folder {inside.removesuffix('/policy.pth')[:80]!r} with a model in it. Zip what is in the folder, not the "
            "folder."
        )


def open_model(path: Path) -> SafeZip:
    """The zip at `path`.

    Raises: FileFormatError naming what stands in its place: an unzipped model, weights alone, a model of
    Stable-Baselines 2; FileNotFoundError naming the path that was tried, and that with `.zip` if it is there.
    """
    if path.is_dir():
        kind = "an unzipped model" if (path / "policy.pth").exists() else "a folder"
        raise FileFormatError(
            f"{kind}. Give the zip that model.save wrote; to zip one again: zip -r ../model.zip . in it."
        )
    with_zip = path.with_name(f"{path.name}.zip")
    if not path.exists() and with_zip.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}, but {str(with_zip)!r} is there. Give that.")
    archive = open_zip(path)
    _check_members(archive)
    return archive
