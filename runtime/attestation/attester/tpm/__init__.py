"""TPM 2.0 spoken by ourselves: `wire` writes bytes, `device` carries them, the rest says what for."""
