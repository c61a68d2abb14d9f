// `bitlane models`: the models of this device.
import type { AddCommand } from './commands.js';
import { addModelsImport } from './models-import.js';
import { addModelsUse } from './models-use.js';
import { addModelsVerify } from './models-verify.js';

export const addModels: AddCommand = (program, cli) => {
  const models = program.command('models').description('the models of this device');
  addModelsImport(models, cli);
  addModelsVerify(models, cli);
  addModelsUse(models, cli);
};
