"""`python -m tests.chaos.member …` is `rota …`, but ends with the process that started it, however that ends."""

from rota.cli.main import main
from rota.worker.death_signal import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    main()
