"""What a run leaves behind for people: figures, tables and final numbers, all made from the run folder alone."""
