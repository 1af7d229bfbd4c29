"""Azure over SNP and TDX: `hcl` and `runtime_data` read, `overlay` binds, `snp` and `tdx` decide."""
