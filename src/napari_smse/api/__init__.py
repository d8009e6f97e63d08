"""What `import napari_smse` hands out: the workflows as functions, with their records.

`napari_smse` itself gives each name when it is first asked for. What is not in its ``__all__`` is
reached through what its functions return, such as `napari_smse.api.scores.Scores`.
"""
