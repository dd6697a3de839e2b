from setuptools import find_packages, setup

package = "parley_policy_server"

setup(
    name=package,
    version="0.1.0",
    description="Decides for a whole fleet with one batched forward pass.",
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
            "policy_server = parley_policy_server.policy_server_node:main",
        ],
    },
)
