"""Misbehaviour for ten minutes; see soaking.py. Prints figures; fails when a promise is broken.

    soak.py         with POPKEEP and POPKEEPD in the environment

SOAK_SECONDS (600), SOAK_ACCOUNTS (200), SOAK_SEED (drawn, and printed), SOAK_SANITISED=1 where a
sanitizer takes memory and time. KEEP=1 leaves the archive of a run that failed.
"""
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'integration'))
import soaking
from tap import case, main

SEED = os.environ.get('SOAK_SEED') or str(random.SystemRandom().randrange(10 ** 6))


@case
def every_message_is_kept_once_whatever_goes_wrong(folder):
    print(f'# SOAK_SEED={SEED}', flush=True)
    soaking.Soak(folder, SEED, int(os.environ.get('SOAK_ACCOUNTS', '200')),
                 int(os.environ.get('SOAK_SECONDS', '600')),
                 os.environ.get('SOAK_SANITISED') == '1').run()


if __name__ == '__main__':
    main()
