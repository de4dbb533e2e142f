//! The time zones that gave the rows their meaning. Servers with different ones on one database count one moment under two
//! days, or read what the other wrote hours off, and no row shows it; so the start that differs from the last one is told.

use jiff::tz::TimeZone;

use crate::sql::{Columns, Db, sql, unless_taken};

/// A setting whose value is a time zone, and gives rows their meaning.
struct Meaning<'a> {
    setting: &'static str,
    zone: &'a TimeZone,
    /// What another one means.
    means: &'static str,
}

/// Says what the zones of the last start were if these are others, and remembers these.
pub(super) async fn remember(db: &Db, business: &TimeZone, columns: &TimeZone) -> Result<(), sqlx::Error> {
    let zones = [
        Meaning {
            setting: "server.timezone",
            zone: business,
            means: "what was counted stays under its days, and from now on days begin at another moment; all servers of \
                    one database must have the same",
        },
        Meaning {
            setting: "database.timezone",
            zone: columns,
            means: "every instant that was written before is read as another one; set it back, and give all servers of \
                    one database the same",
        },
    ];
    for meaning in zones {
        meaning.remember(db).await?;
    }
    Ok(())
}

impl Meaning<'_> {
    async fn remember(&self, db: &Db) -> Result<(), sqlx::Error> {
        // Of a zone without a name nobody can say whether it is the same.
        let Some(name) = self.zone.iana_name() else { return Ok(()) };
        let query = sql("select value from qs_setting where name = ?").bind(self.setting);
        match db.read_one(query, Columns::text).await? {
            Some(before) if before == name => Ok(()),
            Some(before) => {
                let Self { setting, means, .. } = self;
                tracing::warn!(
                    before,
                    now = name,
                    "{setting} is another one than that of the last start: {means}"
                );
                let write = sql("update qs_setting set value = ? where name = ?");
                db.execute(write.bind(name).bind(self.setting)).await.map(drop)
            }
            None => {
                let write = sql("insert into qs_setting (name, value) values (?, ?)");
                unless_taken(db.execute(write.bind(self.setting).bind(name)).await).map(drop)
            }
        }
    }
}
