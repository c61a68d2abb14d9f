// MQTT topics, outbox, commands, desired and reported configuration; and the control socket, which serves the same commands.
export { brokerOf, EmbeddedBroker } from './broker.js';
export {
  type CommandAnswer,
  type CommandCounters,
  type CommandHandler,
  type CommandOrigin,
  CommandRegistry,
} from './commands.js';
export { callDaemon } from './control-client.js';
export { ControlServer, controlSocketPath } from './control-server.js';
export {
  Telemetry,
  type TelemetryCounters,
  type TelemetryEvents,
  type TelemetryOptions,
} from './telemetry.js';
export { type DesiredChange } from './change.js';
export { type BootedConfig, ConfigTwin } from './twin.js';
export {
  type AdaptationEntry,
  type CommandDefinition,
  type CommandName,
  type CommandRequest,
  type CommandResult,
  COMMANDS,
  defineCommand,
  type ExampleMessage,
  exampleSchema,
  type FrameBody,
  type OutboxBody,
  type OutboxTopic,
  pictureResult,
  type ReportedConfig,
  type StateBody,
  type StateTopic,
  TOPICS,
  type TopicSpec,
} from './topics/index.js';
