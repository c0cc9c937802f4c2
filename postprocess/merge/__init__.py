"""``W + sum of a_i * D_i``, and wider MLPs, shard by shard: planned from headers, refused before a byte is written.

``plan`` lays the results out (``deltas`` what changes, ``pad`` what widens, ``operation`` what becomes of one tensor),
``write`` carries the plan out in a process of its own (``sums`` in numpy and C, ``with_torch`` on a GPU), and ``step``
makes a step of it, which is resumed by shard and whole at the end.
"""
