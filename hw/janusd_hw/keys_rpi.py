"""A Raspberry Pi's own key, in OTP fuses, asked through the firmware: `rpi-fw-crypto hmac`.

The board's firmware computes HMAC-SHA256 with the device's private key and never gives the key itself, once
`lock_device_private_key=1` stands in config.txt (without it, root reads the fuses: rpi-otp-private-key).
Whoever may ask may also ask anything else of /dev/vcio; a daemon that should not gets the answer as a
credential instead (`CredentialBinding`), fetched by a root-owned unit before it starts.

Not tested on a board: the program's interface is, with a stand-in that speaks it.
"""

from __future__ import annotations

from dataclasses import dataclass

from janusd_hw.keys_command import ask

_REMEDY = (
    "install rpi-fw-crypto, update the firmware, provision the key (rpi-fw-crypto genkey --key-id 1 --alg ec)"
    " and let this user open /dev/vcio; or fetch the answer in a unit of root: see vault.binding"
)


@dataclass(frozen=True, slots=True)
class RpiOtp:
    """The OTP key in that slot."""

    program: str = "rpi-fw-crypto"
    slot: int = 1

    @property
    def name(self) -> str:
        """Which key."""
        return f"the Raspberry Pi's OTP key {self.slot}"

    def answer(self, question: bytes) -> bytes:
        """HMAC-SHA256 of the question under the board's key. Raises KeyUnavailable."""
        command = [
            self.program, "hmac", "--in", "/dev/stdin", "--key-id", str(self.slot), "--outform", "hex",
        ]  # fmt: skip
        return ask(command, question, self.name, _REMEDY)
