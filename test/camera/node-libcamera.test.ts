import { contract } from './contract.js';
import { libcameraSubject } from './libcamera-contract.js';

contract(libcameraSubject('node-libcamera', 100));
