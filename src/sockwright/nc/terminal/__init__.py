"""Standard input and output where a person sits: line editing, raw mode, cleaned output."""
