"""What every archive can do."""

import io
import zipfile


def leading_out(artifact: bytes, elsewhere: str) -> tuple[bytes, str]:
    """With a file beside its folder."""
    packed = io.BytesIO(artifact)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(f"../{elsewhere}", b"")
    return packed.getvalue(), "leaves its folder"
