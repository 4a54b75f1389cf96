"""Teaches gpio-sim what Raspberry Pi kernels do: with persist=1 a line that nobody holds keeps its level."""

import re
import sys
from pathlib import Path

source = Path(sys.argv[1])
text = source.read_text()
start = text.index("static void gpio_sim_free(")
end = text.index("\n}\n", start)
body = re.sub(r"(\n\t+)(__assign_bit\(offset, chip->value_map,)", r"\1if (!persist)\1\t\2", text[start:end])
assert "if (!persist)" in body, "gpio_sim_free is not as it was in Linux 6.12"
source.write_text(
    text[:start] + "static bool persist;\nmodule_param(persist, bool, 0644);\n\n" + body + text[end:]
)
