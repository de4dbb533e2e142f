//! The result as Markdown, and the bounds that must hold.

use std::fmt::Write;

use crate::CONNECTIONS;
use crate::wrk::Shot;

/// Which share of its rate on SQLite a read must reach on `MariaDB`.
const OF_SQLITE: f64 = 0.5;

/// One route at one number of connections.
pub(crate) struct Line {
    pub(crate) route: &'static str,
    /// Whether it only reads.
    pub(crate) reads: bool,
    /// Of its reply.
    pub(crate) bytes: usize,
    pub(crate) connections: u32,
    pub(crate) nginx: Shot,
    pub(crate) sqlite: Shot,
    pub(crate) mariadb: Shot,
}

impl Line {
    fn ratio(&self) -> f64 {
        self.mariadb.rate / self.sqlite.rate
    }

    fn failed(&self) -> [u64; 2] {
        [self.sqlite.failed(), self.mariadb.failed()]
    }
}

/// What was measured.
pub(crate) struct Results {
    pub(crate) lines: Vec<Line>,
    /// The most memory of the server on SQLite, and of the one on `MariaDB`, in bytes.
    pub(crate) memory: [u64; 2],
}

/// The section of the document.
pub(crate) fn render(facts: &[(&str, String)], results: &Results) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{line}");
    };
    for (name, value) in facts {
        line(format!("- {name}: {value}"));
    }
    let [sqlite, mariadb] = results.memory.map(|bytes| bytes >> 20);
    line(format!(
        "- most memory of the server in the whole run: {sqlite} MiB on SQLite, {mariadb} MiB on MariaDB"
    ));
    for connections in CONNECTIONS {
        line(format!("\n{connections} connections; requests a second (99 of 100 within so many ms):\n"));
        line(
            "| route | bytes | nginx, a file | SQLite | MariaDB, Redis | MariaDB ÷ SQLite | failed |"
                .to_owned(),
        );
        line("|---|--:|--:|--:|--:|--:|--:|".to_owned());
        for one in results.lines.iter().filter(|line| line.connections == connections) {
            let [sqlite, mariadb] = one.failed();
            line(format!(
                "| `{}` | {} | {} | {} | {} | {:.2} | {} |",
                one.route,
                one.bytes,
                shown(&one.nginx),
                shown(&one.sqlite),
                shown(&one.mariadb),
                one.ratio(),
                if sqlite + mariadb == 0 { "0".to_owned() } else { format!("{sqlite}, {mariadb}") },
            ));
        }
    }
    text
}

/// What a person who waits is told.
pub(crate) fn progress(line: &Line) -> String {
    let (sqlite, mariadb) = (shown(&line.sqlite), shown(&line.mariadb));
    let Line { route, connections, .. } = line;
    format!(
        "{route}, {connections} connections: {sqlite}, {mariadb}: {:.2}; {:?} failed",
        line.ratio(),
        line.failed()
    )
}

fn shown(shot: &Shot) -> String {
    format!("{:.0} ({:.1})", shot.rate, shot.p99)
}

/// The bounds that do not hold.
pub(crate) fn broken(results: &Results) -> Vec<String> {
    let mut broken = Vec::new();
    for line in &results.lines {
        let about = format!("{} at {} connections", line.route, line.connections);
        if line.reads && line.ratio() < OF_SQLITE {
            broken.push(format!("{about}: {:.2} of its rate on SQLite, not {OF_SQLITE}", line.ratio()));
        }
        let [sqlite, mariadb] = line.failed();
        if sqlite + mariadb > 0 {
            broken.push(format!("{about}: {sqlite} requests failed on SQLite, {mariadb} on MariaDB"));
        }
    }
    broken
}
