# What people and CI run. `make run` shows the program at work, `make test` is everything that must pass.

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
PROGRAM := $(TARGET_DIR)/debug/metalwright
# Tools that Debian does not package are put here by `make deps`.
export PATH := $(TARGET_DIR)/tools/bin:$(PATH)
export CARGO_TARGET_DIR := $(TARGET_DIR)

# Whom npm trusts: whom this machine trusts.
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)

.PHONY: console console-check console-if-possible stories screenshots bench-console run demo build test acceptance deps fmt fmt-check clippy doc unit it net qemu whole loaders openapi openapi-check bench bench-renders bench-dhcp bench-files fuzz fuzz-release soak attack

run: ## build (dev profile) and boot one machine through a whole workflow
	scripts/deps run
	@[ -e $(PROGRAM) ] || echo "The first build compiles some 400 crates: three to ten minutes on two cores."
	$(MAKE) --no-print-directory build
	scripts/demo $(PROGRAM)

demo: ## a server with 50 simulated machines at work, and the console's address, until Ctrl-C
	scripts/deps run
	$(MAKE) --no-print-directory build
	scripts/demo-fleet $(PROGRAM)

build: console-if-possible
	$(CARGO) build --locked

# What the console is built from. Its packages are fetched again when the list of them has changed.
CONSOLE := console/dist/index.html
CONSOLE_PACKAGES := console/node_modules/.package-lock.json
CONSOLE_SOURCES := openapi.yaml console/build.mjs console/package.json $(shell find console/src console/scripts -type f \
	-not -path console/src/api/schema.d.ts -not -path console/src/api/fields.ts)

console: $(CONSOLE) ## the web console: its packages, and console/dist, which the program embeds (needs Node and npm)

$(CONSOLE): $(CONSOLE_SOURCES) $(CONSOLE_PACKAGES)
	cd console && node scripts/types.mjs --if-needed && node build.mjs

$(CONSOLE_PACKAGES): console/package.json console/package-lock.json
	cd console && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

console-if-possible:
	@$(MAKE) --no-print-directory console || echo "The console is not built: a page says so in its place." >&2

console-check: $(CONSOLE_PACKAGES) ## the console's types and its own tests
	cd console && npm run --silent check && npm test --silent

STORIES := cd console && node stories/run.mjs --program $(PROGRAM)
stories: build console ## the console in Debian's Chromium against the real server; STORY=name runs some
	$(STORIES) $(STORY)

screenshots: build console ## pictures of every screen, light and dark, narrow and wide, in target/screenshots
	$(STORIES) --screenshots $(STORY)

bench-console: console ## the console with 10,000 machines and 1,000 events a second, for docs/performance.md (release build)
	$(CARGO) build --locked --release
	cd console && node stories/run.mjs --program $(TARGET_DIR)/release/metalwright --measures

TEST_PARTS := deps console console-check fmt-check clippy doc unit it stories net qemu fuzz openapi-check

test: ## everything that CI runs, and how long each part took
	@took=; for part in $(TEST_PARTS); do \
		echo "== $$part"; start=$$(date +%s); \
		$(MAKE) --no-print-directory $$part || exit 1; \
		took="$$took$$(printf '%6d s  %s' $$(($$(date +%s) - start)) $$part)\n"; \
	done; printf "$$took"

acceptance: ## the longer proofs, in a clean Debian 12 (root; two hours; what passed for these files is not repeated)
	scripts/acceptance

deps: ## install the packages that the tests need (as root), or say which are missing
	scripts/deps test

fmt:
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

unit: ## the library's own tests
	$(CARGO) test --locked --lib

it: ## the real program on loopback, and the rules that hold for the source
	$(CARGO) test --locked --test it -- --skip net:: --skip qemu::

net: ## the real program and the system's own clients in network namespaces (root)
	$(CARGO) test --locked --test it net::

qemu: ## real firmware and the real Debian installer under QEMU (root)
	$(CARGO) test --locked --test it qemu:: -- --nocapture --skip qemu::whole --skip qemu::loaders

whole: ## the Debian installer onto a disk that boots, under QEMU, from a mirror that is made for it (root; half an hour)
	$(CARGO) test --locked --test it qemu::whole -- --nocapture

loaders: ## firmware and iPXE of Debian 12 and 13, each with each, x86 and ARM, under QEMU (root; some minutes)
	scripts/deps loaders
	$(CARGO) test --locked --test it qemu::loaders -- --nocapture

SECONDS := 45
HTTP_SECONDS := 15
FUZZ := $(CARGO) run --locked --quiet --example fuzz
fuzz: ## DHCP packets that are a little wrong, for SECONDS, and HTTP requests, for HTTP_SECONDS, with debug assertions
	$(FUZZ) -- --seconds $(SECONDS)
	$(FUZZ) -- --http --seconds $(HTTP_SECONDS)

fuzz-release: ## the same optimised and without debug assertions (another build of everything; a step of `make acceptance`)
	$(FUZZ) --profile fuzz -- --seconds $(SECONDS)
	$(FUZZ) --profile fuzz -- --http --seconds $(HTTP_SECONDS)

ROUNDS := 50
soak: ## kill the server under load again and again (minutes; `make it` does it five times)
	METALWRIGHT_ROUNDS=$(ROUNDS) $(CARGO) test --locked --test it killed:: -- --nocapture

ATTACK_SECONDS := 900
attack: ## all attacks at once while machines boot, for ATTACK_SECONDS (`make it` does it for a few)
	METALWRIGHT_ATTACK_SECONDS=$(ATTACK_SECONDS) $(CARGO) test --locked --test it attack:: -- --nocapture

bench: ## the performance table of the README, from the release build (minutes; not a test)
	$(CARGO) bench --locked --bench machines

bench-renders: ## renders a second of a large kickstart, plain and with the origins of its lines, for docs/performance.md
	$(CARGO) bench --locked --bench renders

bench-dhcp: ## DHCP beside the other servers that are installed, the table of docs/performance.md (root)
	$(CARGO) bench --locked --bench dhcp

bench-files: ## boot files and boot storms beside the other servers that are installed, for docs/performance.md (root)
	$(CARGO) bench --locked --bench files

openapi: build ## write openapi.yaml, docs/operating/events.md and docs/operating/errors.md from the code
	$(PROGRAM) openapi > openapi.yaml
	$(PROGRAM) events kinds -o markdown > docs/operating/events.md
	$(PROGRAM) errors -o markdown > docs/operating/errors.md

openapi-check: build
	$(PROGRAM) openapi | diff -u openapi.yaml -
