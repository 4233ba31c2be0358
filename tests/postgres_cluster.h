#pragma once

#include <sys/types.h>

#include <string>

namespace ddpt {

// A PostgreSQL server of the tests' own: the distribution's, as a user without rights, in a
// temporary directory, reached by a Unix socket there. It ends with the process that started it.
class PostgresCluster {
 public:
  // The one of this process, started when first asked for; null where the distribution's package
  // `postgresql` is not installed.
  static PostgresCluster* Get();

  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  // The URL of its database, which is emptied.
  std::string EmptyDatabase();
  // Breaks all connections and refuses new ones until Start.
  void Stop();
  // Blocks until the server answers.
  void Start();

 private:
  PostgresCluster(std::string binaries, std::string directory);
  std::string Url() const;

  const std::string binaries_;
  const std::string directory_;
  pid_t server_ = -1;
};

// Why a test that needs the cluster is skipped where there is none.
inline constexpr char kNoPostgres[] = "needs the package postgresql";

}  // namespace ddpt
