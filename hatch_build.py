"""What the wheel carries beside the code: the shipped weights, recordings and tables.

Listed in pyproject.toml. An editable install needs none of it: it finds them in the checkout.
"""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedData(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if version != "editable":
            build_data["force_include"] |= self.config["shipped"]
