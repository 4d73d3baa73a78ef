// SQLiteCpp reports errors by exceptions; guarded() turns each into a SystemError at this room's
// edge, so none escapes.
#include "reports/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "record/row_json.h"
#include "reports/files.h"
#include "reports/json_row.h"

namespace sluice::reports {

struct Store::Impl {
  SQLite::Database database;
  std::string path;
};

namespace {

constexpr int kBusyTimeoutMs = 10'000;
constexpr int kApplicationId =
    0x534c5543;  // "SLUC": tells our files from other programs' databases

// `digest` only narrows the search for a duplicate; the contents decide, so a collision cannot lose
// a row.
constexpr const char* kCreate = R"sql(
CREATE TABLE row(
  id INTEGER PRIMARY KEY, digest INTEGER NOT NULL, kind TEXT NOT NULL, run TEXT NOT NULL, time TEXT NOT NULL,
  host TEXT NOT NULL, identity TEXT NOT NULL, json TEXT NOT NULL);
CREATE INDEX row_digest ON row(digest);
CREATE INDEX row_series ON row(kind, host, identity, time);
CREATE INDEX row_run ON row(run, time);
)sql";

std::string advice(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return "restore it from a copy, or move it away and import the rows.jsonl files again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another program holds it: try again when it is done";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return "check that its directory exists and that file and directory may be written";
    case SQLITE_FULL:
      return "the disk is full: make room and run again; the rows written before are safe";
    default:
      return "nothing was changed";
  }
}

std::unexpected<SystemError> store_error(std::string_view path, std::string_view what, int code) {
  return input_error(fmt::format("run store {}: {}; {}", path, what, advice(code)));
}

template <class Function>
auto guarded(std::string_view path, Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const SQLite::Exception& error) {
    return store_error(path, error.what(), error.getErrorCode());
  }
}

int pragma_number(SQLite::Database& database, const char* pragma) {
  return database.execAndGet(fmt::format("PRAGMA {}", pragma)).getInt();
}

Expected<void> check_layout(SQLite::Database& database, std::string_view path) {
  const int schema = pragma_number(database, "user_version");
  const int application = pragma_number(database, "application_id");
  const bool empty = database.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (empty && schema == 0 && application == 0) return {};
  if (application != kApplicationId) {
    return input_error(fmt::format(
        "run store {}: a database of another program; name another file, nothing was changed",
        path));
  }
  if (schema > kStoreSchema) {
    return input_error(
        fmt::format("run store {}: schema {}, this program knows up to {}; use the sluice that "
                    "wrote it or name another file, nothing was changed",
                    path, schema, kStoreSchema));
  }
  const std::string health = database.execAndGet("PRAGMA quick_check(1)").getString();
  if (health != "ok") return store_error(path, "corrupt: " + health, SQLITE_CORRUPT);
  return {};
}

void create_layout(SQLite::Database& database) {
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  if (pragma_number(database, "user_version") != 0) return;  // another process was first
  database.exec(kCreate);
  database.exec(fmt::format("PRAGMA application_id={}", kApplicationId));
  database.exec(fmt::format("PRAGMA user_version={}", kStoreSchema));
  transaction.commit();
}

std::vector<std::string> texts(SQLite::Statement& query) {
  std::vector<std::string> found;
  while (query.executeStep()) found.push_back(query.getColumn(0).getString());
  return found;
}

// A row on its way in: the columns it is found by.
struct Prepared {
  std::string json;
  std::string content;  // the same whatever the order of keys: decides what is a duplicate
  std::string identity;
  std::string kind;
  std::string run;
  std::string time;
  std::string host;
};

Prepared prepare(const Json& row) {
  return {.json = dump(row),
          .content = sorted_dump(row),
          .identity = row_identity(row),
          .kind = text_of(row, "kind"),
          .run = text_of(row, "run"),
          .time = text_of(row, "time"),
          .host = text_of(row, "host")};
}

class Importer {
 public:
  explicit Importer(SQLite::Database& database)
      : find_(database, "SELECT json FROM row WHERE digest=?"),
        insert_(database,
                "INSERT INTO row(digest,kind,run,time,host,identity,json) VALUES(?,?,?,?,?,?,?)") {}

  // True if the row is new.
  bool add(const Prepared& row) {
    Hash hash;
    hash.add_text(row.content);
    const auto digest = static_cast<std::int64_t>(hash.value());
    find_.reset();
    find_.bind(1, digest);
    while (find_.executeStep()) {
      const auto there = parse_row(find_.getColumn(0).getString());
      if (there && sorted_dump(*there) == row.content) return false;
    }
    insert_.reset();
    insert_.bind(1, digest);
    insert_.bindNoCopy(2, row.kind);
    insert_.bindNoCopy(3, row.run);
    insert_.bindNoCopy(4, row.time);
    insert_.bindNoCopy(5, row.host);
    insert_.bindNoCopy(6, row.identity);
    insert_.bindNoCopy(7, row.json);
    insert_.exec();
    return true;
  }

 private:
  SQLite::Statement find_;
  SQLite::Statement insert_;
};

}  // namespace

Expected<std::string> identity_of(std::string_view row_json) {
  auto row = parse_row(row_json);
  if (!row) return std::unexpected(row.error());
  return row_identity(*row);
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Expected<Store> Store::open(const std::filesystem::path& path) { return open_with(path, true); }

Expected<Store> Store::open_read_only(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return input_error(fmt::format("run store {}: no such file", path.string()));
  }
  return open_with(path, false);
}

Expected<Store> Store::open_with(const std::filesystem::path& path, bool writable) {
  const std::string name = path.string();
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return input_error(fmt::format("run store {}: is a directory, not a file", name));
  }
  return guarded(name, [&]() -> Expected<Store> {
    const int flags =
        writable ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE : SQLite::OPEN_READONLY;
    auto impl = std::make_unique<Impl>(SQLite::Database(name, flags, kBusyTimeoutMs), name);
    if (auto layout = check_layout(impl->database, name); !layout) {
      return std::unexpected(layout.error());
    }
    if (pragma_number(impl->database, "user_version") == 0) {
      if (!writable) return input_error(fmt::format("run store {}: empty, has no rows", name));
      create_layout(impl->database);
    }
    return Store(std::move(impl));
  });
}

Expected<ImportSummary> Store::import_file(const std::filesystem::path& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  if (text->starts_with("SQLite format 3")) {
    return input_error(
        fmt::format("{}: a database, not a file of rows; name it with --db", path.string()));
  }
  return import_text(*text, path.string());
}

Expected<ImportSummary> Store::import_text(std::string_view text, std::string_view origin) {
  return guarded(impl_->path, [&]() -> Expected<ImportSummary> {
    ImportSummary summary;
    SQLite::Transaction transaction(impl_->database, SQLite::TransactionBehavior::IMMEDIATE);
    Importer importer(impl_->database);
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (record::is_torn(line)) {
        summary.incomplete++;
        continue;
      }
      const auto row = parse_checked_row(line);
      if (!row) {
        return input_error(fmt::format("{}:{}: {}; no row of this file was imported", origin,
                                       number, row.error().message()));
      }
      (importer.add(prepare(*row)) ? summary.added : summary.already_there)++;
    }
    transaction.commit();
    return summary;
  });
}

Expected<void> Store::each_row(const RowFilter& filter,
                               const std::function<Expected<void>(std::string_view)>& visit) const {
  return guarded(impl_->path, [&]() -> Expected<void> {
    SQLite::Statement query(
        impl_->database,
        "SELECT json FROM row WHERE (?1='' OR kind=?1) AND (?2='' OR host=?2) AND (?3='' OR run=?3)"
        " ORDER BY time, id");
    query.bind(1, filter.kind);
    query.bind(2, filter.host);
    query.bind(3, filter.run);
    while (query.executeStep()) {
      const SQLite::Column text = query.getColumn(0);
      const auto visited = visit({text.getText(), static_cast<std::size_t>(text.getBytes())});
      if (!visited) return visited;
    }
    return {};
  });
}

Expected<std::vector<std::string>> Store::rows(const RowFilter& filter) const {
  std::vector<std::string> found;
  const auto walked = each_row(filter, [&found](std::string_view row) -> Expected<void> {
    found.emplace_back(row);
    return {};
  });
  if (!walked) return std::unexpected(walked.error());
  return found;
}

Expected<std::vector<std::string>> Store::latest(std::string_view kind) const {
  return guarded(impl_->path, [&]() -> Expected<std::vector<std::string>> {
    SQLite::Statement query(impl_->database,
                            "SELECT json FROM (SELECT json, identity, host, row_number() OVER "
                            "(PARTITION BY host, identity"
                            " ORDER BY time DESC, id DESC) AS age FROM row WHERE kind=?) WHERE "
                            "age=1 ORDER BY host, identity");
    query.bind(1, std::string(kind));
    return texts(query);
  });
}

Expected<std::vector<std::string>> Store::skips() const {
  return guarded(impl_->path, [&]() -> Expected<std::vector<std::string>> {
    SQLite::Statement query(
        impl_->database,
        "SELECT json FROM row WHERE kind='skip' AND (host, run) IN (SELECT host, run FROM (SELECT "
        "host, run,"
        " row_number() OVER (PARTITION BY host ORDER BY time DESC, id DESC) AS age FROM row"
        " WHERE kind='skip') WHERE age=1) ORDER BY host, identity, id");
    return texts(query);
  });
}

Expected<std::vector<std::string>> Store::history(const SeriesKey& key) const {
  return guarded(impl_->path, [&]() -> Expected<std::vector<std::string>> {
    SQLite::Statement query(
        impl_->database,
        "SELECT json FROM row WHERE kind=? AND host=? AND identity=? ORDER BY time, id");
    query.bind(1, key.kind);
    query.bind(2, key.host);
    query.bind(3, key.identity);
    return texts(query);
  });
}

Expected<std::size_t> Store::row_count() const {
  return guarded(impl_->path, [&]() -> Expected<std::size_t> {
    return static_cast<std::size_t>(
        impl_->database.execAndGet("SELECT count(*) FROM row").getInt64());
  });
}

Expected<std::vector<RunInfo>> Store::runs(std::string_view kind) const {
  return guarded(impl_->path, [&]() -> Expected<std::vector<RunInfo>> {
    // SQLite takes the other columns of an aggregate query with min() from the row that holds the
    // minimum.
    SQLite::Statement query(impl_->database,
                            "SELECT run, min(time), host, json FROM row WHERE ?1='' OR kind=?1"
                            " GROUP BY run, host ORDER BY 2, 1, 3");
    query.bind(1, std::string(kind));
    std::vector<RunInfo> found;
    while (query.executeStep()) {
      const auto row = parse_row(query.getColumn(3).getString());
      if (!row) return store_error(impl_->path, row.error().message(), SQLITE_CORRUPT);
      found.push_back({.run = query.getColumn(0).getString(),
                       .time = query.getColumn(1).getString(),
                       .host = query.getColumn(2).getString(),
                       .commit = text_of(*row, "commit"),
                       .dirty = flag_of(*row, "dirty")});
    }
    return found;
  });
}

Expected<void> Store::copy_to(const std::filesystem::path& target) const {
  const std::filesystem::path temporary = temporary_beside(target);
  const auto copied = guarded(temporary.string(), [&]() -> Expected<void> {
    SQLite::Statement copy(impl_->database, "VACUUM INTO ?");
    copy.bind(1, temporary.string());
    copy.exec();
    return {};
  });
  if (!copied) return copied;
  return replace_file(temporary, target);
}

}  // namespace sluice::reports
