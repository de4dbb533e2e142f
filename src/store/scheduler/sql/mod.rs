//! The ledger in a SQL database, SQLite or the MySQL family.
//!
//! All verbs of a session go through one writer (`writer`), which commits what is waiting as one transaction. Locks are
//! taken in the order node, planner, slot, execution, attempt, missed.

mod changes;
mod claims;
mod columns;
mod history;
mod plans;
mod sessions;
mod tasks;
mod verbs;
mod writer;

use async_trait::async_trait;
use jiff::Timestamp;

use self::verbs::{Did as DidVerb, Verb};
use self::writer::Writer;
use super::{
    Change, Changed, ClaimOrder, Claimed, Did, Ledger, LedgerError, NewSession, PlanStep, Planned, Planner,
    SessionRow,
};
use crate::domain::execution::{Execution, SessionId};
use crate::sql::{Db, MigrationError, Migrations, SchemaChange, sql};
use crate::store::error::{Answer, StoreError, named};

/// What the scheduler keeps.
static MIGRATIONS: Migrations = Migrations {
    history: "qs_scheduler_migrations",
    steps: &[SchemaChange {
        name: "ledger",
        sqlite: include_str!("migrations/sqlite/0001_ledger.sql"),
        mysql: include_str!("migrations/mysql/0001_ledger.sql"),
    }],
};

/// The ledger in a SQL database.
#[derive(Clone, Debug)]
pub struct SqlLedger {
    db: Db,
    writer: Writer,
}

impl SqlLedger {
    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When that fails, or they were made by a newer program.
    pub async fn migrate(db: &Db) -> Result<(), MigrationError> {
        MIGRATIONS.run(db).await
    }

    /// Opens it.
    ///
    /// # Errors
    /// When the tables are not those of this program.
    pub async fn open(db: Db) -> Result<Self, MigrationError> {
        MIGRATIONS.check(&db).await?;
        Ok(Self { writer: Writer::start(db.clone()), db })
    }
}

/// The answer of a verb, which is of the verb's own kind.
macro_rules! answer {
    ($self:ident, $session:expr, $verb:expr, $kind:pat => $answer:expr) => {{
        let verb = $verb;
        let name = verb.name();
        match $self.writer.write($session, verb).await? {
            $kind => Ok($answer),
            other => {
                let source = format!("the writer answered {other:?}").into();
                Err(LedgerError::Store(StoreError::Database { verb: name, source }))
            }
        }
    }};
}

#[async_trait]
impl Ledger for SqlLedger {
    async fn begin_session(&self, session: &NewSession, alone: bool) -> Answer<()> {
        named("begin_session", sessions::begin(&self.db, session, alone)).await
    }

    async fn beat(&self, session: SessionId) -> Did<()> {
        answer!(self, session, Verb::Beat, DidVerb::Nothing => ())
    }

    async fn end_session(&self, session: SessionId) -> Did<()> {
        answer!(self, session, Verb::EndSession, DidVerb::Nothing => ())
    }

    async fn sessions(&self) -> Answer<Vec<SessionRow>> {
        named("sessions", sessions::all(&self.db)).await
    }

    async fn declare_dead(&self, session: SessionId, other: &SessionRow) -> Did<bool> {
        answer!(self, session, Verb::DeclareDead(other.clone()), DidVerb::Declared(dead) => dead)
    }

    async fn orphans(&self, most: usize) -> Answer<Vec<Execution>> {
        named("orphans", sessions::orphans(&self.db, most)).await
    }

    async fn planner(&self, now: Timestamp) -> Answer<Planner> {
        named("planner", plans::planner(&self.db, now)).await
    }

    async fn plan(&self, session: SessionId, step: PlanStep) -> Did<Planned> {
        answer!(self, session, Verb::Plan(Box::new(step)), DidVerb::Planned(planned) => planned)
    }

    async fn planned_ahead(&self, until: Timestamp) -> Answer<Vec<Execution>> {
        named("planned_ahead", plans::planned_ahead(&self.db, until)).await
    }

    async fn claim(&self, session: SessionId, order: ClaimOrder) -> Did<Vec<Claimed>> {
        answer!(self, session, Verb::Claim(order), DidVerb::Claimed(claimed) => claimed)
    }

    async fn change(&self, session: SessionId, change: Change) -> Did<Changed> {
        answer!(self, session, Verb::Change(Box::new(change)), DidVerb::Changed(changed) => changed)
    }

    async fn next_due(&self, queue: &str, after: Option<Timestamp>) -> Answer<Option<Timestamp>> {
        named("next_due", claims::next_due(&self.db, queue, after)).await
    }

    async fn enqueue(&self, execution: Execution) -> Answer<bool> {
        named("enqueue", changes::enqueue(&self.db, &execution)).await
    }

    async fn held(&self, session: SessionId) -> Answer<Vec<Execution>> {
        let query = format!("select {} from qs_execution where holder = ?", columns::list());
        named("held", self.db.read_all(sql(query).bind(session.0), columns::execution)).await
    }

    async fn prune(&self, session: SessionId, before: Timestamp, most: u32) -> Did<u64> {
        answer!(self, session, Verb::Prune { before, most }, DidVerb::Pruned(removed) => removed)
    }
}
