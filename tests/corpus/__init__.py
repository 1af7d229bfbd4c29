"""Real evidence as test vectors: any folder of the corpus' layout, named by EVIDENCE_CORPUS."""
