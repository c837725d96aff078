"""Other people's environments behind our two environment interfaces."""
