// Jest's configuration for openai-node's own tests, of the folder $SOURCES, with the published package in $NODE_MODULES.
const path = require('path');
const modules = process.env.NODE_MODULES;

module.exports = {
  rootDir: process.env.SOURCES,
  roots: ['<rootDir>/tests'],
  testEnvironment: 'node',
  setupFilesAfterEnv: [path.join(__dirname, 'openai_node.skips.js')],
  transform: { '\\.ts$': [path.join(modules, '@swc/jest'), { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }] },
  moduleNameMapper: { '^openai$': path.join(modules, 'openai/index.js'), '^openai/(.*)$': path.join(modules, 'openai/$1') },
};
