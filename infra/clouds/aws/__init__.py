"""Amazon EC2: SEV-SNP guests with NitroTPM."""
