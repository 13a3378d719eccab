# What is released. `make dist` leaves it in target/dist.

.PHONY: setup-dist dist dist-check dist-judge

setup-dist:
	@./setup.sh --dist

dist: setup-dist
	images/dist/dist.sh

# Builds twice, in two folders, and compares every byte: a quarter of an hour on 2 cores.
dist-check: setup-dist
	images/dist/check.sh

# Bare chroots of Debian 12 and 13 get what was made and nothing else.
dist-judge: dist programs
	tests/judge/dist.sh
