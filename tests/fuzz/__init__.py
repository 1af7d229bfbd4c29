"""One module per parser. `fuzz_one` takes any bytes; all but our error or a right answer is a finding."""
