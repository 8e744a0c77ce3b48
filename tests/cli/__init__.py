"""What users see of the command line: transcripts, each a file that is run and compared."""
