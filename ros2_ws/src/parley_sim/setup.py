from setuptools import find_packages, setup

package = "parley_sim"

setup(
    name=package,
    version="0.1.0",
    description="Shows the PyBullet warehouse as robots; takes velocity and fork commands.",
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
            "sim = parley_sim.sim_node:main",
        ],
    },
)
