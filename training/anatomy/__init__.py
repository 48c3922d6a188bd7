"""The rendered world: hands, people, horses and riders with exact truth."""
