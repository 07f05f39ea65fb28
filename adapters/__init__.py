"""Everything trained, and the only home of torch."""

import os

# Torch's threads wait for each other by spinning. On a machine with anything else to do that makes a question take
# 35 s instead of 1.4 s (measured: 4 busy cores, small model); sleeping costs an idle machine nothing that shows.
# Must be said before torch is first imported; a setting of the user's own wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
