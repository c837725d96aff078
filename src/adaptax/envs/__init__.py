"""Built-in families of tasks; every one compiles."""
