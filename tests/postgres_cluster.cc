#include "tests/postgres_cluster.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <pqxx/pqxx>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

extern char** environ;

namespace ddpt {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kTimeout{60};
constexpr char kUser[] = "postgres";  // the package makes it

// The newest version's.
std::string FindBinaries() {
  std::set<std::pair<int, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    const std::string binaries = entry.path().string() + "/bin";
    if (fs::exists(binaries + "/initdb", error)) {
      found.emplace(std::atoi(entry.path().filename().c_str()), binaries);
    }
  }
  return found.empty() ? "" : found.rbegin()->second;
}

// PostgreSQL refuses to run as root; and what a test leaves behind ends with it.
pid_t Spawn(const std::vector<std::string>& command) {
  std::vector<std::string> words = {"setpriv", "--pdeathsig", "INT"};
  if (geteuid() == 0) {
    words.insert(words.end(), {"--reuid", kUser, "--regid", kUser, "--clear-groups"});
  }
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawnp(&pid, "setpriv", nullptr, nullptr, pointers.data(), environ), 0);
  return pid;
}

int Await(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

}  // namespace

PostgresCluster* PostgresCluster::Get() {
  static const std::unique_ptr<PostgresCluster> cluster = []() -> std::unique_ptr<PostgresCluster> {
    std::string binaries = FindBinaries();
    if (binaries.empty()) return nullptr;
    std::string directory = "/tmp/ddpt-postgres-XXXXXX";  // a socket's path is short
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    std::unique_ptr<PostgresCluster> made(
        new PostgresCluster(std::move(binaries), std::move(directory)));
    made->Start();
    return made;
  }();
  return cluster.get();
}

PostgresCluster::PostgresCluster(std::string binaries, std::string directory)
    : binaries_(std::move(binaries)), directory_(std::move(directory)) {
  if (const passwd* user = geteuid() == 0 ? getpwnam(kUser) : nullptr) {
    EXPECT_EQ(chown(directory_.c_str(), user->pw_uid, user->pw_gid), 0);
  }
  fs::permissions(directory_, fs::perms::owner_all | fs::perms::others_exec);
  EXPECT_EQ(Await(Spawn({"sh", "-c",
                         absl::StrCat(binaries_, "/initdb --pgdata ", directory_,
                                      "/data --auth trust --username ddpt --no-sync --encoding"
                                      " UTF8 --locale C >/dev/null")})),
            0);
}

PostgresCluster::~PostgresCluster() {
  Stop();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string PostgresCluster::Url() const {
  return absl::StrCat("postgresql://ddpt@/postgres?host=", directory_);
}

std::string PostgresCluster::EmptyDatabase() {
  pqxx::connection connection(Url());
  pqxx::nontransaction(connection)
      .exec("SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  return Url();
}

void PostgresCluster::Stop() {
  if (server_ < 0) return;
  kill(server_, SIGINT);
  Await(std::exchange(server_, -1));
}

void PostgresCluster::Start() {
  server_ =
      Spawn({"sh", "-c",
             absl::StrCat("exec ", binaries_, "/postgres -D ", directory_, "/data -k ", directory_,
                          " -c listen_addresses= -c fsync=off -c full_page_writes=off"
                          " -c max_connections=200 >>",
                          directory_, "/data/log 2>&1")});
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    try {
      const pqxx::connection connection(Url());
      return;
    } catch (const pqxx::broken_connection&) {
      std::this_thread::yield();
    }
  }
  ADD_FAILURE() << "PostgreSQL has not started: " << directory_ << "/data/log";
}

}  // namespace ddpt
