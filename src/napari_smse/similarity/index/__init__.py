"""An index of many slides, searched for tiles like the ones given."""
