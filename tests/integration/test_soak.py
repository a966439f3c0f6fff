"""The short form of tests/bench/soak.py."""
import os

import soaking
from tap import case, main


@case
def every_message_is_kept_once_whatever_goes_wrong(folder):
    soaking.Soak(folder, os.environ.get('SOAK_SEED', '2'), accounts=20, seconds=20,
                 sanitised=True).run()


if __name__ == '__main__':
    main()
