"""cmlab: consistency models, readable, judged by exact truth.

Read in this order: `vocabulary` (the signatures), `process` (where noise lives), `model`
(network + preconditioning = denoiser), `methods/` (one paper, one file), `train`.
"""

__version__ = "0.1.0"
