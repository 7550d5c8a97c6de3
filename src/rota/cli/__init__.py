"""The command line: one file per noun. It talks to the API alone, or starts a process through `rota.composition`."""
