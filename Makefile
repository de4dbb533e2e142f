# Every target is one command; `make ci` is what CI runs.
.PHONY: demo test ci bench bench-call bench-sync build fmt lint clean

demo:
	cargo run -- demo
test:
	cargo test
ci:
	.ci/run
bench: bench-call bench-sync
	cargo bench --bench instructions
bench-call:
	cargo bench --bench call
bench-sync:
	cargo bench --bench sync
build:
	cargo build --release
fmt:
	cargo fmt
lint:
	cargo clippy --all-targets -- -D warnings
clean:
	cargo clean
