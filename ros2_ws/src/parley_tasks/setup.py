from setuptools import find_packages, setup

package = "parley_tasks"

setup(
    name=package,
    version="0.1.0",
    description="Orders, stock ledger and the life of every warehouse job.",
    maintainer="The Parley team",
    maintainer_email="team@parley.dev",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package}"]),
        (f"share/{package}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "tasks = parley_tasks.task_node:main",
        ],
    },
)
