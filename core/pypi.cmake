# ddpt_fetch_from_pypi(NAME VERSION FOLDER SIZE [PIP_OPTION ...]): downloads the packages of NAME-requirements.txt, pinned by SHA-256, once for each
# VERSION, and unpacks what unpack_packages.py knows to be wanted of them into FOLDER.
function(ddpt_fetch_from_pypi name version folder size)
  set(done ${folder}/${version}.complete)
  if(EXISTS ${done})
    return()
  endif()
  find_program(DDPT_PYTHON python3 REQUIRED)
  message(STATUS "Fetching ${name} ${version} from PyPI (${size}, once)")
  set(packages ${folder}/packages)
  file(REMOVE_RECURSE ${packages})
  file(MAKE_DIRECTORY ${packages})
  execute_process(
    COMMAND ${DDPT_PYTHON} -m pip download --quiet --disable-pip-version-check --no-deps ${ARGN} --require-hashes
            -r ${CMAKE_SOURCE_DIR}/core/${name}-requirements.txt -d ${packages}
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "pip could not fetch ${name} ${version}; core/${name}.cmake tells what for")
  endif()
  file(GLOB files ${packages}/*)
  execute_process(COMMAND ${DDPT_PYTHON} ${CMAKE_SOURCE_DIR}/core/unpack_packages.py ${folder} ${files} COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${packages})
  file(TOUCH ${done})
endfunction()
