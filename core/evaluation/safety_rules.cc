#include "core/evaluation/safety_rules.h"

#include <array>

namespace ddpt {
namespace {

constexpr std::string_view kExecutesCode = "executes-code", kRunsCommand = "runs-command",
                           kDeletesFiles = "deletes-files", kOpensSocket = "opens-socket",
                           kHoldsSecret = "holds-secret", kBuildsSql = "builds-sql";

constexpr std::array kPythonRules = {
    SafetyRule{kExecutesCode, Severity::kHigh, "eval or exec of a text", CodeLanguage::kPython,
               R"((call function: (_) @path
                     (#path? @path "eval" "exec" "builtins.eval" "builtins.exec")) @found)",
               "x = eval(input())", "import ast\nx = ast.literal_eval(text)"},
    SafetyRule{kRunsCommand, Severity::kHigh, "a command by os.system and its kin",
               CodeLanguage::kPython,
               R"((call function: (_) @path
                     (#path? @path "os.system" "os.popen" "os.execl" "os.execle" "os.execlp"
                      "os.execv" "os.execve" "os.execvp" "os.execvpe" "os.spawnl" "os.spawnv"
                      "subprocess.getoutput" "subprocess.getstatusoutput" "pty.spawn")) @found)",
               "from os import system as run\nrun('ls ' + path)",
               "import subprocess\nsubprocess.run(['ls', path])"},
    SafetyRule{"runs-shell", Severity::kHigh, "a subprocess with shell=True", CodeLanguage::kPython,
               R"((call function: (_) @path
                     arguments: (argument_list
                       (keyword_argument name: (identifier) @name value: (true)))
                     (#path? @path "subprocess.run" "subprocess.call" "subprocess.Popen"
                      "subprocess.check_call" "subprocess.check_output")
                     (#any-of? @name "shell")) @found)",
               "import subprocess as sp\nsp.run(command, shell=True)",
               "import subprocess\nsubprocess.run(command, check=True)"},
    SafetyRule{kDeletesFiles, Severity::kMedium, "files or folders that are deleted",
               CodeLanguage::kPython,
               R"((call function: (_) @path
                     (#path? @path "shutil.rmtree" "os.remove" "os.unlink" "os.rmdir"
                      "os.removedirs")) @found)",
               "import shutil\nshutil.rmtree(folder)", "items.remove(item)"},
    SafetyRule{kOpensSocket, Severity::kMedium, "a socket that is opened", CodeLanguage::kPython,
               R"((call function: (_) @path
                     (#path? @path "socket.socket" "socket.create_connection"
                      "socket.create_server")) @found)",
               "import socket\ns = socket.socket()", "name = socket.gethostname()"},
    SafetyRule{"unpickles", Severity::kHigh, "data that may run code when read",
               CodeLanguage::kPython,
               R"((call function: (_) @path
                     (#path? @path "pickle.load" "pickle.loads" "pickle.Unpickler" "cPickle.load"
                      "cPickle.loads" "dill.load" "dill.loads" "marshal.load" "marshal.loads"
                      "shelve.open")) @found)",
               "import pickle\nx = pickle.loads(data)", "import json\nx = json.loads(data)"},
    SafetyRule{"loads-yaml", Severity::kHigh, "YAML that may make any object",
               CodeLanguage::kPython,
               R"((call function: (_) @path arguments: (_) @arguments
                     (#path? @path "yaml.load" "yaml.load_all")
                     (#lacks? @arguments "SafeLoader" "BaseLoader")) @found
                  (call function: (_) @path
                     (#path? @path "yaml.unsafe_load" "yaml.unsafe_load_all")) @found)",
               "import yaml\nx = yaml.load(file)",
               "import yaml\nx = yaml.load(file, Loader=yaml.SafeLoader)"},
    SafetyRule{kHoldsSecret, Severity::kHigh, "a password, token or key in the code",
               CodeLanguage::kPython,
               R"((assignment left: (_) @name right: (string) @value (#secret? @name)) @found
                  (keyword_argument name: (_) @name value: (string) @value
                     (#secret? @name)) @found
                  (pair key: (string) @name value: (string) @value (#secret? @name)) @found)",
               "api_key = 'sk-91f2ab77c0'", "api_key = os.environ['API_KEY']"},
    SafetyRule{kBuildsSql, Severity::kHigh, "SQL put together from parts", CodeLanguage::kPython,
               R"(((binary_operator) @found (#sql? @found))
                  ((string (interpolation)) @found (#sql? @found))
                  (call function: (attribute object: (string) attribute: (identifier) @name)
                     (#any-of? @name "format") (#sql? @found)) @found)",
               "db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")",
               "db.execute('SELECT * FROM users WHERE name = ?', (name,))"},
};

constexpr std::array kJavaScriptRules = {
    SafetyRule{kExecutesCode, Severity::kHigh, "eval or Function of a text",
               CodeLanguage::kJavaScript,
               R"((call_expression function: (_) @path
                     (#path? @path "eval" "vm.runInThisContext" "vm.runInNewContext")) @found
                  (new_expression constructor: (_) @path (#path? @path "Function")) @found)",
               "const f = new Function('a', body);", "const x = JSON.parse(text);"},
    SafetyRule{kRunsCommand, Severity::kHigh, "a command by child_process.exec",
               CodeLanguage::kJavaScript,
               R"((call_expression function: (_) @path
                     (#path? @path "child_process.exec" "child_process.execSync")) @found)",
               "const { exec } = require('child_process');\nexec('ls ' + path);",
               "const found = /a+/.exec(text);"},
    SafetyRule{kDeletesFiles, Severity::kMedium, "files or folders that are deleted",
               CodeLanguage::kJavaScript,
               R"((call_expression function: (_) @path
                     (#path? @path "fs.unlink" "fs.unlinkSync" "fs.rm" "fs.rmSync" "fs.rmdir"
                      "fs.rmdirSync" "fs.promises.unlink" "fs.promises.rm")) @found)",
               "import * as files from 'node:fs';\nfiles.rmSync(path);", "list.unlink(node);"},
    SafetyRule{kOpensSocket, Severity::kMedium, "a socket that is opened",
               CodeLanguage::kJavaScript,
               R"((call_expression function: (_) @path
                     (#path? @path "net.connect" "net.createConnection" "net.createServer"
                      "tls.connect" "dgram.createSocket")) @found
                  (new_expression constructor: (_) @path
                     (#path? @path "WebSocket" "net.Socket")) @found)",
               "const s = new WebSocket(url);", "db.connect(url);"},
    SafetyRule{kHoldsSecret, Severity::kHigh, "a password, token or key in the code",
               CodeLanguage::kJavaScript,
               R"((variable_declarator name: (_) @name value: (string) @value
                     (#secret? @name)) @found
                  (assignment_expression left: (_) @name right: (string) @value
                     (#secret? @name)) @found
                  (pair key: (_) @name value: (string) @value (#secret? @name)) @found)",
               "connect({ user: 'me', password: 'hunter2-hunter2' });",
               "connect({ user: 'me', password: process.env.PASSWORD });"},
    SafetyRule{kBuildsSql, Severity::kHigh, "SQL put together from parts",
               CodeLanguage::kJavaScript,
               R"(((binary_expression) @found (#sql? @found))
                  ((template_string (template_substitution)) @found (#sql? @found)))",
               "db.query('DELETE FROM users WHERE id = ' + id);",
               "db.query('DELETE FROM users WHERE id = ?', [id]);"},
};

constexpr std::string_view kPythonImports = R"(
(import_statement name: (aliased_import name: (_) @module alias: (_) @alias))
(import_from_statement module_name: (_) @module name: (dotted_name) @name)
(import_from_statement module_name: (_) @module
  name: (aliased_import name: (_) @name alias: (_) @alias))
)";

constexpr std::string_view kJavaScriptImports = R"(
(variable_declarator name: (identifier) @alias
  value: (call_expression function: (identifier) @require arguments: (arguments (string) @module))
  (#any-of? @require "require"))
(variable_declarator
  name: (object_pattern (shorthand_property_identifier_pattern) @name)
  value: (call_expression function: (identifier) @require arguments: (arguments (string) @module))
  (#any-of? @require "require"))
(import_statement (import_clause (identifier) @alias) source: (string) @module)
(import_statement (import_clause (namespace_import (identifier) @alias)) source: (string) @module)
(import_statement
  (import_clause (named_imports (import_specifier name: (_) @name !alias)))
  source: (string) @module)
(import_statement
  (import_clause (named_imports (import_specifier name: (_) @name alias: (_) @alias)))
  source: (string) @module)
)";

}  // namespace

std::span<const SafetyRule> SafetyRulesOf(CodeLanguage language) {
  if (language == CodeLanguage::kPython) return kPythonRules;
  if (language == CodeLanguage::kJavaScript) return kJavaScriptRules;
  return {};
}

std::string_view ImportQueryOf(CodeLanguage language) {
  return language == CodeLanguage::kPython ? kPythonImports : kJavaScriptImports;
}

}  // namespace ddpt
