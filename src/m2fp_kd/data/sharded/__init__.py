"""Photos, labels and targets in tar shards as the package webdataset reads them, on any file system of fsspec.

The tars are read with `tarfile` and not with webdataset's own loader: that one gives each process whole shards, so that
processes of unequal shares need photos dropped or repeated, and it cannot continue in the middle of an epoch. Here the
number of photos in every shard is known beforehand, from `shards.json`, so the order of an epoch is a function of
(seed, epoch, processes, workers) which is computed before any shard is opened: every process gets equally many photos,
and a stopped training continues with its next batch and opens no shard that it has finished.
"""
