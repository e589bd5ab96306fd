"""Networks that installed packages build, with random weights, or carry: the models of the suite `extended`.

Each module gives functions as people bring them (`orchestrator.own`): the model, and what it is asked with. Nothing is
downloaded. Random weights say what converts, agrees, and how fast it is; not how well it classifies.
"""

SAMPLES = 8
CLASSES = 10
SEED = 20220928
