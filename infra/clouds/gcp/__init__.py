"""Google Compute Engine: TDX and SEV-SNP guests."""
