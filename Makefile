# Every target is one command; `make ci` is what CI runs.
.PHONY: demo test ci bench bench-call build fmt lint clean

demo:
	cargo run -- demo
test:
	cargo test
ci:
	.ci/run
bench: bench-call
	cargo bench --bench instructions
bench-call:
	cargo bench --bench call
build:
	cargo build --release
fmt:
	cargo fmt
lint:
	cargo clippy --all-targets -- -D warnings
clean:
	cargo clean
