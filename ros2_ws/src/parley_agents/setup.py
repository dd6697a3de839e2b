from setuptools import find_packages, setup

package = "parley_agents"

setup(
    name=package,
    version="0.1.0",
    description="The fleet manifest, and its agents as ROS 2 lifecycle nodes: decide, move, guard.",
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
            "host = parley_agents.host:main",
        ],
    },
)
