# Every target is one command; `make ci` is what CI runs.
.PHONY: demo test ci bench bench-call bench-sync bench-load bench-cron bench-intake order oracle fuzz build fmt lint render lint-deploy image clean

demo:
	cargo run -- demo
test:
	cargo test
ci:
	.ci/run
bench: bench-call bench-sync bench-load bench-cron bench-intake
	cargo bench --no-default-features --bench instructions
bench-call:
	cargo bench --bench call
bench-sync:
	cargo bench --bench sync
bench-load:
	cargo bench --bench load
bench-cron:
	cargo bench --bench cron
bench-intake:
	cargo bench --bench intake
# Which functions of qs-api-call the linker puts together: after a change of what a call does, when CI counts more pages.
order:
	cargo bench --no-default-features --bench instructions -- --order
# Compares the schedules with the real cron of this machine; needs root, cron, faketime, and five minutes.
oracle:
	bin/oracle target/oracle/dst.txt
	QS_ORACLE_TABLE=target/oracle/dst.txt cargo test --test it oracle
# Crontabs of arbitrary bytes and of nearly right lines, for five minutes.
fuzz:
	QS_FUZZ_SECONDS=300 cargo test --test it fuzz -- --nocapture
build:
	cargo build --release
fmt:
	cargo fmt
lint:
	cargo clippy --all-targets -- -D warnings
# Units and manifests from the crontab, after a change of it.
render:
	cargo run --no-default-features --bin qs-api-call -- crontab render systemd --zone Asia/Shanghai -o deploy/systemd crontab/qs-scheduler
	cargo run --no-default-features --bin qs-api-call -- crontab render kubernetes --zone Asia/Shanghai -o deploy/kubernetes crontab/qs-scheduler
lint-deploy:
	bin/lint-deploy --mutate
image:
	bin/image
clean:
	cargo clean
