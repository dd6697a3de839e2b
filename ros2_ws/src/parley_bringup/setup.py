from pathlib import Path

from setuptools import find_packages, setup

package = "parley_bringup"
here = Path(__file__).resolve().parent
top = here.parents[2]


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below a folder of the repository's top, to lie at the same place in this package's share."""
    installed: dict[str, list[str]] = {}
    for path in sorted((top / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(".part"):
            relative = path.parent.relative_to(top)
            installed.setdefault(f"share/{package}/{relative}", []).append(f"../../../{path.relative_to(top)}")
    return list(installed.items())


setup(
    name=package,
    version="0.1.0",
    description="Starts a Parley fleet: node list, lifecycle manager, recorder, runner, command line.",
    maintainer="The Parley team",
    maintainer_email="team@parley.dev",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package}"]),
        (f"share/{package}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "lifecycle_manager = parley_bringup.lifecycle_manager:main",
            "recorder = parley_bringup.recorder:main",
        ],
    },
)
