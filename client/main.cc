#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "client/command_line.h"

int main(int argc, char** argv) {
  return ddpt::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr,
                              isatty(STDERR_FILENO) != 0);
}
